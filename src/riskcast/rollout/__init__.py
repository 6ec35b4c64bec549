"""The only writer of what serves: from a request to a champion, or back to the old one."""

from riskcast.rollout.journal import Journal
from riskcast.rollout.machine import Machine, open_machine
from riskcast.rollout.state import PROMOTE, ROLLBACK, Phase, Rollout

__all__ = ["PROMOTE", "ROLLBACK", "Journal", "Machine", "Phase", "Rollout", "open_machine"]
