"""Counts tokens as the target model's provider bills them, and prices them. No module here uses the network."""

from compressor.tokens.counter import TokenCounter, get_counter

__all__ = ["TokenCounter", "get_counter"]
