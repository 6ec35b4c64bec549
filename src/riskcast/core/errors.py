"""The whole tree of errors. Each says what, where, which value, and the cure.

`code` and `cure` are what scripts and docs/reference/errors.md know an error by; a class without a
cure of its own has that of the class above it. What is `final` is not tried again.

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
│   ├── ReleaseFailed        an image could not be scanned, started or proven
│   ├── RolloutUnderWay      another rollout of the product has not ended
│   └── RolloutAborted       a check failed on the way
├── BackupError              a backup could not be made or put back
│   └── BackupRefused        a file is no whole backup, or the place it should go to is in use
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
    cure = "Read the message: it says what, where, which value and what mends it."
    final = False  # whether it is a verdict: the same again, and no fault to be told of


class SettingsError(RiskcastError):
    code = "settings"
    cure = "Correct the variable the message names; docs/reference/settings.md lists all of them."


class DeclarationError(RiskcastError):
    code = "declaration"
    cure = "Correct the declaration in tables/, products/ or pipelines/ that the message names."


class SourceError(RiskcastError):
    code = "source"
    cure = "Run the step again; if it fails again, see what the vendor says."


class SourceMissing(SourceError):
    code = "source-missing"
    cure = "Put the file or column there; run again when the vendor has it, or choose another."


class SourceMalformed(SourceError):
    code = "source-malformed"
    cure = "Correct the file at the row named; a vendor's changed answer is for us to report."


class SourceRefused(SourceError):
    code = "source-refused"
    cure = "Put a valid key where the message says."


class SourceUnreachable(SourceError):
    """No usable answer; another try may get one.

    Attributes
    ----------
    retry_after : float or None
        Seconds the server asked to be left alone.
    """

    code = "source-unreachable"
    cure = "Run the step again later; it goes on where it stopped."

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(message)


class LakeError(RiskcastError):
    code = "lake"
    cure = "See that the folder or bucket of RISKCAST_LAKE can be read and written."


class TableMissing(LakeError):
    code = "table-missing"
    cure = "Run the step that writes the table; `riskcast pipelines` lists the steps."


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
    cure = "Look at the rows named (`riskcast docs data`), mend them at their source, run again."

    def __init__(self, table: str, rule: str, detail: str) -> None:
        self.table, self.rule, self.detail = table, rule, detail
        super().__init__(f"{table}: {rule}: {detail}")


class WriteConflict(LakeError):
    code = "write-conflict"
    cure = "Run the step again when the other writer has ended."


class SpoolMalformed(LakeError):
    code = "spool-malformed"
    cure = "Move the file named out of the spool and keep it: nothing else holds those answers."


class NotEnoughHistory(RiskcastError):
    code = "not-enough-history"
    cure = "Backfill the sessions before: `riskcast backfill market_daily --start ... --end ...`."


class LookAhead(RiskcastError):
    code = "look-ahead"
    cure = "A bug in a fit or feature, never to be forced: mend what reads past its as-of."


class FitFailed(RiskcastError):
    code = "fit-failed"
    cure = "See the window's data in `riskcast docs data`; the fit before goes on serving."


class NoSuchSession(RiskcastError):
    code = "no-such-session"
    cure = "Ask for the date the message names, or leave the date out."


class RegistryError(RiskcastError):
    code = "registry"
    cure = "See that MLflow answers: `riskcast status`, `riskcast logs mlflow`."


class ModelMissing(RegistryError):
    code = "model-missing"
    cure = "Take a version that `riskcast models list` shows, or train one."


class ArtifactRefused(RegistryError):
    code = "artifact-refused"
    cure = "Train again; a model whose digest or signature does not fit is never loaded."


class GateRefused(RiskcastError):
    code = "gate-refused"
    cure = "Nothing to mend: the champion stays. The tag override=<reason> lifts the verdict."
    final = True


class RolloutError(RiskcastError):
    code = "rollout"
    cure = "`riskcast rollout status` says where it stands."


class RolloutRefused(RolloutError):
    code = "rollout-refused"
    cure = "Lift what the message names: verdict, pin or approval."


class ReleaseFailed(RolloutError):
    code = "release-failed"
    cure = "What served serves on. Mend what the message names and push the image again."


class RolloutUnderWay(RolloutError):
    code = "rollout-under-way"
    cure = "Wait for it, or end it with `riskcast models rollback`."


class RolloutAborted(RolloutError):
    code = "rollout-aborted"
    cure = "See the check named and `riskcast logs blue` and `green`; then promote again."


class BackupError(RiskcastError):
    code = "backup"
    cure = "See that the target can be written and the stack's databases answer; then again."


class BackupRefused(BackupError):
    code = "backup-refused"
    cure = "Name a whole backup, and an empty folder with --home."


class MailFailed(RiskcastError):
    code = "mail"
    cure = "Correct the RISKCAST_MAIL_* settings; `riskcast run monitor notify` sends what was not."


class ServingError(RiskcastError):
    code = "serving"
    cure = "GET /ready gives the reasons."
    status = 503


class FeatureMissing(ServingError):
    code = "feature-missing"
    cure = "Run the features pipeline for the session, or give the value in feature_vector."


class FeatureStale(ServingError):
    code = "feature-stale"
    cure = "Run market_daily for the sessions since."


class FeatureUnknown(ServingError):
    code = "feature-unknown"
    cure = "Correct the name; GET /debug/model-info lists the features in use."
    status = 422


class NotReady(ServingError):
    code = "not-ready"
    cure = "Train and promote a model; GET /ready gives the reasons."


class SpoolFailed(ServingError):
    code = "spool-failed"
    cure = "Make room on the server's disk; it answers again by itself."


class StackError(RiskcastError):
    code = "stack"
    cure = "`riskcast doctor`, then `riskcast logs <process>`."


class PortTaken(StackError):
    code = "port-taken"
    cure = "Set the variable named to a free port, or end who has the port."


class RunnerBusy(StackError):
    code = "runner-busy"
    cure = "Wait, or raise RISKCAST_CORES of the runner."
