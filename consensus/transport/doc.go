// Package transport carries raft messages, forwarded commands, state hashes
// and snapshots between the nodes of a cluster, over grpc on a port of their
// own.
//
// # Types
//
//   - Transport: a node's end of all connections. Config and Limits make one;
//     Handler is whom it tells.
//   - link: one peer's outgoing side: a queue, and whether the peer is there.
//   - session: one open Messages stream, with its outbox of envelopes.
//   - peerServer: the incoming side.
//
// # What is promised
//
// Messages to a peer arrive in the order in which they were sent, or not at
// all; so do forwarded commands. Small messages that decide who leads (votes,
// heartbeats, read indexes) may overtake the others, so that they wait for
// one envelope at most. What cannot be delivered is dropped and reported, and
// raft sends it again.
//
// A message is handed to the Handler only if its From is the peer that the
// stream's Hello named, and its To is this node. The Hello is as good as the
// credentials below it: with mutual TLS the caller's Authorize has to compare
// the two.
//
// # Whether a peer is there
//
// A stream that breaks is dialled anew at once, and after 5, 20 and 50 ms:
// that is the probe. A refused connection is PeerDown(id, true), the process
// is dead; on one machine that takes a few milliseconds after a kill -9.
// Everything else is PeerDown(id, false), after at most half a second.
// Afterwards the dials go on with a capped backoff; a peer that calls us is
// dialled at once.
//
// A connection on which nothing comes any more is ended by the server's ping
// within three seconds. grpc lets clients ping only every ten seconds, so a
// client notices by the stream in the other direction: when that ends, it
// probes the address and gives its own stream up if nobody answers.
//
// # Goroutines
//
//   - link.run, one a peer: dials, sends, and makes the calls about the
//     connection to the Handler.
//   - link.report, one a peer: makes the calls about drops, also while run
//     waits for a peer that does not read.
//   - session.watch, one an open stream: waits for its end; joined by
//     session.close.
//   - grpc's, one an incoming call: receives, and calls the Handler.
//   - one a snapshot that is being sent, at most one a peer.
//   - one an incoming call until its Hello has come.
//
// All of them end before Close returns.
//
// # Limits
//
// In limits.go. A full queue drops; a full snapshot slot refuses; too many
// connections are closed; too large a message ends the stream it came on.
//
// # Errors
//
// ErrUnknownPeer, ErrClosed; ErrLater is for Authorize. On the wire:
// FailedPrecondition is a refusal for good, InvalidArgument a message that no
// node of ours sends, DataLoss a damaged snapshot, Aborted the refusal of a
// snapshot by its Handler or a stream that a newer one replaced.
package transport
