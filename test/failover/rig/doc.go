// Package rig runs what Redis failover is tested with.
package rig
