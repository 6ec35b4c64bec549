"""Settings that every test shares."""

from hypothesis import settings

# A shared machine stalls for longer than any useful deadline; speed is a benchmark's business.
settings.register_profile("riskcast", deadline=None)
settings.load_profile("riskcast")
