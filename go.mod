module github.com/velo-engine/velo

go 1.26.0
