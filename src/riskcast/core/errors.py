"""The whole tree of errors. Each says what, where, which value, and the cure.

RiskcastError
├── SettingsError            a setting is missing, unknown or contradicts another
├── DeclarationError         a table, step or product declaration contradicts itself
├── SourceError              data could not be fetched or does not have the promised shape
│   ├── SourceMissing        a file, column or series the source promises is not there
│   ├── SourceMalformed      a value is of the wrong type, duplicated or impossible
│   ├── SourceRefused        a key is missing, or the vendor refuses it
│   └── SourceUnreachable    no answer within the time and tries allowed
├── LakeError
│   ├── TableMissing         read before anything wrote it
│   ├── ContractBroken       rows offered for writing break the table's declaration
│   ├── WriteConflict        another writer won more often than we retry
│   └── SpoolMalformed       a recorded answer cannot be read back
├── NotEnoughHistory         fewer rows known than a fit, score or window needs
├── LookAhead                a fit, offset or calibration saw data not known when it is used
├── FitFailed                an optimiser found no finite solution
├── NoSuchSession            a date that is no session of the exchange, or lies ahead of the clock
├── RegistryError
│   ├── ModelMissing         no version carries the alias or number asked for
│   └── ArtifactRefused      a model file is unknown, altered or not data-only
├── GateRefused              a candidate failed the gate; the champion stays
├── RolloutError             a version could not be rolled out; what served goes on serving
│   ├── RolloutRefused       it may not be: gate, pin, approval, or nothing to return to
│   ├── RolloutUnderWay      another rollout of the product has not ended
│   └── RolloutAborted       a check failed on the way
├── MailFailed               a mail was too large, or the server did not take it
├── ServingError             answered by the API as a named 4xx or 503
│   ├── FeatureMissing       a value the model needs is not stored
│   ├── FeatureStale         a stored value is older than its table allows
│   ├── FeatureUnknown       the request names a feature the model does not have
│   ├── NotReady             no model is loaded
│   └── SpoolFailed          an answer could not be recorded, so it was not given
└── StackError               an embedded server could not start, stop or answer
    ├── PortTaken            a port is in use; names the setting that changes it
    └── RunnerBusy           as many steps run as may; ask again
"""

from __future__ import annotations


class RiskcastError(Exception):
    """Base of everything Riskcast raises on purpose; the CLI prints it without a traceback."""

    code = "error"


class SettingsError(RiskcastError):
    code = "settings"


class DeclarationError(RiskcastError):
    code = "declaration"


class SourceError(RiskcastError):
    code = "source"


class SourceMissing(SourceError):
    code = "source-missing"


class SourceMalformed(SourceError):
    code = "source-malformed"


class SourceRefused(SourceError):
    code = "source-refused"


class SourceUnreachable(SourceError):
    """No usable answer; another try may get one.

    Attributes
    ----------
    retry_after : float or None
        Seconds the server asked to be left alone.
    """

    code = "source-unreachable"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class LakeError(RiskcastError):
    code = "lake"


class TableMissing(LakeError):
    code = "table-missing"


class ContractBroken(LakeError):
    """Rows offered to a table break its declaration; nothing was written.

    Parameters
    ----------
    table : str
        Name of the table.
    rule : str
        The rule broken, e.g. ``"key is unique"``.
    detail : str
        How many rows break it and the first of them.
    """

    code = "contract-broken"

    def __init__(self, table: str, rule: str, detail: str) -> None:
        self.table, self.rule, self.detail = table, rule, detail
        super().__init__(f"{table}: {rule}: {detail}")


class WriteConflict(LakeError):
    code = "write-conflict"


class SpoolMalformed(LakeError):
    code = "spool-malformed"


class NotEnoughHistory(RiskcastError):
    code = "not-enough-history"


class LookAhead(RiskcastError):
    code = "look-ahead"


class FitFailed(RiskcastError):
    code = "fit-failed"


class NoSuchSession(RiskcastError):
    code = "no-such-session"


class RegistryError(RiskcastError):
    code = "registry"


class ModelMissing(RegistryError):
    code = "model-missing"


class ArtifactRefused(RegistryError):
    code = "artifact-refused"


class GateRefused(RiskcastError):
    code = "gate-refused"


class RolloutError(RiskcastError):
    code = "rollout"


class RolloutRefused(RolloutError):
    code = "rollout-refused"


class RolloutUnderWay(RolloutError):
    code = "rollout-under-way"


class RolloutAborted(RolloutError):
    code = "rollout-aborted"


class MailFailed(RiskcastError):
    code = "mail"


class ServingError(RiskcastError):
    code = "serving"
    status = 503


class FeatureMissing(ServingError):
    code = "feature-missing"


class FeatureStale(ServingError):
    code = "feature-stale"


class FeatureUnknown(ServingError):
    code = "feature-unknown"
    status = 422


class NotReady(ServingError):
    code = "not-ready"


class SpoolFailed(ServingError):
    code = "spool-failed"


class StackError(RiskcastError):
    code = "stack"


class PortTaken(StackError):
    code = "port-taken"


class RunnerBusy(StackError):
    code = "runner-busy"
