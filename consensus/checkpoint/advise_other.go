//go:build !linux

package checkpoint

import "go.etcd.io/bbolt"

func letGo(*bbolt.DB) {}

func letGoOf(*bbolt.Tx) {}
