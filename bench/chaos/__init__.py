"""Kills every part of a queue while jobs stream through it, and counts from outside what was lost.

`storm.run` is `bench chaos`, `ladder.run` is `bench chaos --ladder`, `soak.run` is `bench soak`. What decides
(`plan`, `stream`, `audit`, `slopes`) is pure; `ground` brings the system up, `strikes` carries the plan out,
`drive` is the users, `ledger` the records.
"""
