// Package failover tests Redis failover with real processes, doozer's and, beside it,
// Redis Sentinel's. It has no code of its own; package rig has.
//
//   - facts_*_test.go: what agents rely on of redis-server, one claim each, so that
//     a version that does otherwise is noticed here.
//   - short_test.go: each kind of harm to a group, once or a few times: nothing that a client
//     was promised is lost, and no two servers take writes beyond the gate's bound. Times
//     are told, not judged.
//   - clients_test.go: clients in another language, over a failover and a switch.
//   - cmd/failover: the long form, 'make failover TRIALS=30 PAR=4': the same, with
//     quantiles, beside Redis Sentinel; 'make failover-gate': what the gate costs.
package failover
