"""The process that takes jobs and has them run. Nothing is imported here: each child would carry it."""
