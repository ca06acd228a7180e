"""Running: a plan in, records out. The only room that knows the suite, through its one door."""
