// Package failover tests Redis failover with real processes.
package failover
