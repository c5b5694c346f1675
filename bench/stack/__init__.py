"""Brings a system under test up in its box as private processes, and down without a trace.

`deploy.deployment` starts one system for one trial; `services.Services` keeps RabbitMQ and Redis across
trials; `box` caps and measures; `workspace` owns whatever must be gone in the end.
"""

from bench.stack.errors import StackError

__all__ = ["StackError"]
