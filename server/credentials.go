package server

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// This file is the one place where listeners and dialers of a node get their
// credentials.

// CredentialsConfig says how the client listener proves who it is and learns
// who calls. It has no fields yet: the listener is plain TCP, and a caller is
// known by its address alone.
type CredentialsConfig struct{}

// listenerCredentials are the client listener's.
func listenerCredentials(CredentialsConfig) (credentials.TransportCredentials, error) {
	return insecure.NewCredentials(), nil
}

// PeerOptions are what the peer port is served and dialled with.
type PeerOptions struct {
	Server []grpc.ServerOption
	Dial   []grpc.DialOption
}

// PeerCredentials returns the peer port's credentials on both sides.
func PeerCredentials(CredentialsConfig) PeerOptions {
	creds := insecure.NewCredentials()
	return PeerOptions{
		Server: []grpc.ServerOption{grpc.Creds(creds)},
		Dial:   []grpc.DialOption{grpc.WithTransportCredentials(creds)},
	}
}
