"""Claims that others have made of queues, run again and judged: `bench reproduce`.

`claim` reads them from their files, `labs` are the experiments that no trial of a sweep can be, `carry_out`
runs what the chosen claims need, and `outcome` writes what came of it.
"""
