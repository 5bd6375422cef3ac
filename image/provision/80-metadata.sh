#!/bin/bash
# image-metadata.json and the SPDX list, inside the image; all packages are there by now.
set -euo pipefail
python3 -B "$IMAGE_DIR/imagectl" metadata --root / --inputs "$INPUTS"
