"""Every online table as Feast sees it; `feast apply` and `feast ui` read this.

Generated from the table declarations: there is nothing to edit here.
"""

from riskcast.core.settings import read_settings
from riskcast.online.views import feast_objects

# Feast collects the module's attributes.
for thing in feast_objects(read_settings()):
    globals()[thing.name] = thing
