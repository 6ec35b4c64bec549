"""Verbs that need both arithmetic and a hand: what the steps of the pipelines call."""
