"""The drop-ins with the portable backend forced, for the shared tools: they import a module by its name."""

from likelihead import use_backend
from likelihead.functional import *  # noqa: F403
from likelihead.nn import *  # noqa: F403

use_backend("portable")
