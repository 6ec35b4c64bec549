"""Models in MLflow: versions of sealed files, found by alias, never unpickled."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

from riskcast.core.clock import wall
from riskcast.core.errors import ArtifactRefused, ModelMissing, RegistryError
from riskcast.core.settings import Settings
from riskcast.models.served import ServedModel
from riskcast.registry import artifact, layout, signature
from riskcast.registry.requests import load_headers, pages
from riskcast.registry.versions import (
    GOLDEN,
    JUDGED,
    VERDICT,
    LoadedModel,
    ModelVersion,
    described,
    read_golden,
    read_verdict,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, PREVIOUS = "champion", "previous"
EVENTS = (
    "model_version.created",
    "model_version_alias.created",
    "model_version_alias.deleted",
    "model_version_tag.set",
    "model_version_tag.deleted",
)
_PARAMS = 100  # what MLflow takes in one call
_ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")  # the latter: an unset alias
# MLflow takes these from the environment only. What an operator has set stays.
_QUIET = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # its default waits minutes for a dead server
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class Registry:
    """Versions and aliases of products' models, in SQLite below `home` or on a server.

    Creating one opens nothing; MLflow is imported on first use.

    Every method raises RegistryError when the registry does not answer.
    """

    def __init__(self, settings: Settings) -> None:
        self._uri = settings.mlflow_uri
        self._home = settings.home_path
        self._keys, self._public_key = settings.keys_path, settings.model_key_path
        self._signed = bool(settings.model_key)  # a key that was named must be there
        self._user = settings.mlflow_user

    def register(
        self,
        product: str,
        model: ServedModel,
        *,
        metrics: Mapping[str, float],
        params: Mapping[str, object],
        lineage: Mapping[str, Any],
        tags: Mapping[str, str],
        example: Mapping[str, float] | None = None,
        artifacts: Mapping[str, bytes] | None = None,
        golden: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Log a run with the sealed model and return the version registered from it.

        Parameters
        ----------
        product : str
            Name of the product: experiment and registered model.
        lineage : mapping
            JSON-able; kept beside the model and as the version's tag ``lineage``.
        tags : mapping
            Set on run and version, beside ``digest``, ``signature``, ``recipe`` and ``fit_end``.
            Anybody may edit those; ``verdict``, ``reason`` and ``as_of`` are sealed as well.
        example : mapping of feature name to value, optional
            One row of inputs for the UI.
        artifacts : mapping of file name to content, optional
            Shown with the run under ``report/``, apart from the model: never read back.
        golden : sequence of mapping
            JSON-able requests with their answers, sealed with the model.
        """
        recorded = {GOLDEN: json.dumps(golden).encode()} if golden else {}
        if judged := {name: tags[name] for name in JUDGED if name in tags}:
            recorded[VERDICT] = json.dumps(judged, sort_keys=True).encode()
        sealed = artifact.seal({**model.dump(), **recorded})
        digest = artifact.digest(sealed)
        every = {
            **tags,
            "product": product,
            "recipe": model.recipe,
            "fit_end": model.fit_end.isoformat(),
            "digest": digest,
            "signature": signature.sign(self._keys, product, digest),
            "lineage": json.dumps(lineage, sort_keys=True),
        }
        with self._asking(f"register a model of {product}"):
            run = self._client.create_run(
                self._experiment(product), run_name=f"{product} {model.fit_end}"
            )
            run_id = run.info.run_id
            try:
                self._log(run_id, metrics, params, every)
                with tempfile.TemporaryDirectory() as folder:
                    layout.write(Path(folder), model, sealed, lineage, example, artifacts)
                    self._client.log_artifacts(run_id, folder)
                version = self._create_version(product, run, every)
            except BaseException:
                self._client.set_terminated(run_id, "FAILED")
                raise
            self._client.set_terminated(run_id)
        return version

    def alias(self, product: str, name: str) -> str | None:
        """Return the version that carries the alias, None if none does. One cheap call."""
        found = self._find(
            lambda: self._client.get_model_version_by_alias(product, name),
            f"look up {product}@{name}",
        )
        return None if found is None else str(found.version)

    def set_alias(self, product: str, name: str, version: str) -> None:
        """Move the alias.

        Raises
        ------
        ModelMissing
            If there is no such version.
        """
        self._version(product, version)
        with self._asking(f"set {product}@{name}"):
            self._client.set_registered_model_alias(product, name, version)

    def delete_alias(self, product: str, name: str) -> None:
        """Take the alias from whatever version carries it, if any does."""
        with self._asking(f"delete {product}@{name}"):
            self._client.delete_registered_model_alias(product, name)

    def assign(
        self,
        product: str,
        aliases: Mapping[str, str | None],
        stages: Mapping[str, str],
        seen: Sequence[ModelVersion],
    ) -> None:
        """Make aliases and stages so, in the order given; an alias of None is taken away.

        What was `seen` to be so already is not touched, whatever became of it since.
        """
        found = {version.version: version for version in seen}
        held = {alias: v.version for v in found.values() for alias in v.aliases}
        for alias, wanted in aliases.items():
            if wanted is None and alias in held:
                self.delete_alias(product, alias)
            elif wanted is not None and held.get(alias) != wanted:
                self.set_alias(product, alias, wanted)
        for version, stage in stages.items():
            if version in found and found[version].stage != stage:
                self._set_stage(product, version, stage)

    def tag(self, product: str, version: str, key: str, value: str | None) -> None:
        """Set a tag of a version, take it away with None; what is so already is not touched."""
        if self._version(product, version).tags.get(key) == value:
            return
        with self._asking(f"tag {product} version {version}"):
            if value is None:
                self._client.delete_model_version_tag(product, version, key)
            else:
                self._client.set_model_version_tag(product, version, key, value[:5000])

    def _set_stage(self, product: str, version: str, stage: str) -> None:
        with self._asking(f"set the stage of {product} version {version}"), catch_warnings():
            simplefilter("ignore", FutureWarning)  # deprecated, and still what people click
            self._client.transition_model_version_stage(product, version, stage)

    def versions(self, product: str, *, metrics: bool = True) -> list[ModelVersion]:
        """Return all versions, newest first; none if the product has no model yet.

        Without `metrics` theirs are empty and the runs are not asked for.
        """
        named = self._find(
            lambda: self._client.get_registered_model(product), f"list versions of {product}"
        )
        if named is None:
            return []
        with self._asking(f"list versions of {product}"):
            found = list(pages(self._client.search_model_versions, f"name='{product}'"))
            runs = pages(self._client.search_runs, [self._experiment(product)]) if metrics else ()
            scored = {run.info.run_id: run.data.metrics for run in runs}
        return sorted(
            (described(v, named.aliases, scored.get(v.run_id, {})) for v in found),
            key=lambda version: -int(version.version),
        )

    def load(self, product: str, alias_or_version: str) -> LoadedModel:
        """Fetch, verify and build a version.

        Raises
        ------
        ModelMissing
            If no version has the alias or number.
        ArtifactRefused
            If its files are not exactly what was registered, were not signed with our key where
            there is one, or make no model.
        """
        found = self._version(product, alias_or_version)
        where = f"{product} version {found.version}"
        with self._asking(f"fetch {where}"):
            sealed = layout.fetch(found.source, self._uri)
        promised, actual = found.tags.get("digest"), artifact.digest(sealed)
        if actual != promised:
            raise ArtifactRefused(
                f"{where}: its files have digest {actual[:12]}, registered was "
                f"{(promised or 'none')[:12]}; train again or roll back to another version"
            )
        if self._signed or self._public_key.exists():
            signature.check(self._public_key, product, actual, found.tags.get("signature"))
        files = artifact.verify(sealed)
        golden = read_golden(files.pop(GOLDEN, b"[]"))
        verdict = read_verdict(files.pop(VERDICT, b"{}"))
        model = ServedModel.load(files)
        return LoadedModel(model, str(found.version), actual, dict(found.tags), golden, verdict)

    def promote(self, product: str, version: str, *, who: str, why: str) -> str | None:
        """Make a version champion; return the champion before it, which becomes `previous`.

        Loads the version first, so that what cannot be served is never promoted. Promoting the
        champion again changes nothing.
        """
        self.load(product, version)
        before = self.alias(product, CHAMPION)
        if before == version:
            return before
        told = {"promoted_by": who, "promoted_why": why, "promoted_at": wall().isoformat()}
        with self._asking(f"promote {product} version {version}"):
            for key, value in told.items():
                self._client.set_model_version_tag(product, version, key, value)
            # `previous` first: stopped between the two, the champion still serves.
            if before is not None:
                self._client.set_registered_model_alias(product, PREVIOUS, before)
            self._client.set_registered_model_alias(product, CHAMPION, version)
        return before

    def subscribe(self, name: str, url: str, secret: str) -> None:
        """Have the server tell `url` of new versions, aliases and tags; again changes nothing.

        MLflow tells nothing of stages.
        """
        told = {"name": name, "url": url, "events": list(EVENTS), "secret": secret}
        with self._asking(f"register the webhook {name}"):
            for hook in pages(lambda _, **page: self._client.list_webhooks(**page), None):
                if hook.name == name:
                    self._client.update_webhook(hook.webhook_id, status="ACTIVE", **told)
                    return
            self._client.create_webhook(**told)

    @cached_property
    def _client(self) -> MlflowClient:
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        if self._user and self._uri.startswith("http"):
            os.environ["MLFLOW_TRACKING_USERNAME"] = self._user
            os.environ["MLFLOW_TRACKING_PASSWORD"] = self._password()
        from mlflow import MlflowClient

        load_headers()
        if self._uri.startswith("sqlite:"):
            self._home.mkdir(parents=True, exist_ok=True)
        return MlflowClient(self._uri, registry_uri=self._uri)

    def _password(self) -> str:
        path = self._keys / f"mlflow-{self._user}"
        try:
            return path.read_text().strip()
        except OSError as error:
            raise RegistryError(
                f"no password of {self._user!r} for {self._uri} ({error}); `riskcast up` makes the "
                "stack's users, of another server put it there, or unset RISKCAST_MLFLOW_USER"
            ) from error

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        self._client  # noqa: B018  builds it, so that MLflow is imported quietly
        from mlflow.exceptions import MlflowException

        try:
            yield
        except MlflowException as error:
            raise RegistryError(
                f"could not {what} at {self._uri}: {error}; is the server of RISKCAST_MLFLOW up?"
            ) from error

    def _find(self, ask: Callable[[], Any], what: str) -> Any | None:
        """Return the answer, None where MLflow says there is no such thing."""
        with self._asking(what):
            from mlflow.exceptions import MlflowException

            try:
                return ask()
            except MlflowException as error:
                if error.error_code in _ABSENT:
                    return None
                raise

    def _version(self, product: str, alias_or_version: str) -> Any:
        if alias_or_version.isdigit():
            ask = self._client.get_model_version
        else:
            ask = self._client.get_model_version_by_alias
        what = f"look up {product} {alias_or_version}"
        found = self._find(lambda: ask(product, alias_or_version), what)
        if found is None:
            raise ModelMissing(
                f"{product} has no version or alias {alias_or_version!r} at {self._uri}; "
                "train one, or list what there is with `riskcast models list`"
            )
        return found

    def _experiment(self, product: str) -> str:
        found = self._client.get_experiment_by_name(product)
        if found is not None:
            return str(found.experiment_id)
        # A server knows where its artifacts go; without one they would land in ./mlruns.
        remote = self._uri.startswith(("http:", "https:"))
        location = None if remote else (self._home / "mlflow-artifacts" / product).as_uri()
        return str(self._client.create_experiment(product, artifact_location=location))

    def _log(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        params: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> None:
        from mlflow.entities import Metric, Param, RunTag

        at = int(wall().timestamp() * 1000)
        # MLflow's UI shows the commit under its own key.
        git = {"mlflow.source.git.commit": tags["git_sha"]} if "git_sha" in tags else {}
        self._client.log_batch(
            run_id,
            metrics=[Metric(name, float(value), at, 0) for name, value in metrics.items()],
            tags=[RunTag(name, value) for name, value in {**tags, **git}.items()],
        )
        given = iter([Param(name, str(value)) for name, value in params.items()])
        while batch := list(islice(given, _PARAMS)):
            self._client.log_batch(run_id, params=batch)

    def _create_version(self, product: str, run: Any, tags: Mapping[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(product)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{run.info.artifact_uri.rstrip('/')}/{layout.FOLDER}"
        created = self._client.create_model_version(
            product, source, run.info.run_id, tags=dict(tags)
        )
        return str(created.version)
