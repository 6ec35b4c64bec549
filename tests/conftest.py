"""Settings that every test shares."""

import gc

import pytest
from hypothesis import settings

# A shared machine stalls for longer than any useful deadline; speed is a benchmark's business.
settings.register_profile("riskcast", deadline=None)
settings.load_profile("riskcast")

# A worker comes to hold three million objects: by default they are searched for cycles so often
# that it takes a twentieth of the run, two seconds at a time.
gc.set_threshold(50_000, 20, 50)

LONG = {"e2e", "reliability", "rollout", "standalone"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Begin with the folders of long files; one begun last would be waited for."""
    items.sort(key=lambda item: item.path.parent.name not in LONG)
