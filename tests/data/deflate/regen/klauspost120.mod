module deflate-regen

go 1.26

require (
	github.com/klauspost/compress v1.20.3
	github.com/klauspost/pgzip v1.2.6
)
