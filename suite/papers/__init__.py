"""One pair of files per paper: <key>.py holds its pretext task, <key>.toml its settings at every scale."""
