"""The model server: FastAPI in front of one verified model and one row of features."""
