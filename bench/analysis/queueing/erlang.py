"""Erlang's two formulas."""


def erlang_b(servers: int, load: float) -> float:
    """Share of arrivals that find all servers busy and go away (M/G/c/c).

    By the recursion B(0) = 1, B(n) = a·B(n-1) / (n + a·B(n-1)), which neither overflows nor cancels.
    Source: A. K. Erlang, "Solution of some problems in the theory of probabilities of significance in
    automatic telephone exchanges", 1917; the recursion in R. B. Cooper, Introduction to Queueing Theory,
    2nd ed., 1981, chapter 3. Raises ValueError for less than no server or a negative load.
    """
    if servers < 0 or not load >= 0:
        raise ValueError(f"Erlang B takes servers ≥ 0 and a load ≥ 0, not {servers} and {load}")
    blocked = 1.0
    for n in range(1, servers + 1):
        blocked = load * blocked / (n + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Share of arrivals that must wait (M/M/c); 1 where the load is all that the servers can do, or more.

    C = B / (1 - ρ·(1 - B)), ρ = a/c. Source: as `erlang_b`, chapter 3. Raises ValueError for no server.
    """
    if servers < 1:
        raise ValueError(f"Erlang C takes a server at least, not {servers}")
    blocked = erlang_b(servers, load)
    utilisation = load / servers
    if utilisation >= 1:
        return 1.0
    return blocked / (1 - utilisation * (1 - blocked))
