"""Where things are."""

from pathlib import Path

PEERS = Path(__file__).resolve().parent.parent
REPOSITORY = PEERS.parent.parent
BUILT = REPOSITORY / "target" / "peers"
CARGO_TARGET = BUILT / "cargo"
LOGS = BUILT / "logs"
DOCUMENTS = REPOSITORY / "docs" / "performance"
IMAGES = REPOSITORY / "docs" / "images"
