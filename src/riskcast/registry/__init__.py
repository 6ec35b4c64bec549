"""MLflow: register, find by alias, load without unpickling, move aliases."""

from riskcast.registry.mlflow import CHAMPION, PREVIOUS, Registry
from riskcast.registry.versions import LoadedModel, ModelVersion

__all__ = ["CHAMPION", "PREVIOUS", "LoadedModel", "ModelVersion", "Registry"]
