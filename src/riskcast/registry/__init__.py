"""MLflow: register, find by alias, load without unpickling, move aliases."""

from riskcast.registry.mlflow import CHAMPION, PREVIOUS, LoadedModel, ModelVersion, Registry

__all__ = ["CHAMPION", "PREVIOUS", "LoadedModel", "ModelVersion", "Registry"]
