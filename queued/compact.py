"""JSON without blanks."""

import json

compact = json.JSONEncoder(separators=(",", ":")).encode
"""Give a value as JSON text. `json.dumps` would make an encoder anew for each."""
