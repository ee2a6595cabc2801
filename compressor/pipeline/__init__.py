"""Fits one context, text, tool list or example set into one token budget."""
