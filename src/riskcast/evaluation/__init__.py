"""From tables to verdicts: designs, walk-forwards, scores, the gate and the served fit."""
