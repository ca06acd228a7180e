"""srop: segment sampling rates and order, with contrast (TCSVT 2021)."""
