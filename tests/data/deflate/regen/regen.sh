#!/bin/sh
# Makes golden.txt anew from the real encoders. Needs Go 1.26 with its module proxy, and pigz 2.6.
set -eu
cd "$(dirname "$0")"
go run . go126
go run -modfile=klauspost117.mod . klauspost117 pgzip117
go run . klauspost118 pgzip118
go run -modfile=klauspost119.mod . klauspost119 pgzip119
go run -modfile=klauspost120.mod . pgzip120
go run . pigz26
