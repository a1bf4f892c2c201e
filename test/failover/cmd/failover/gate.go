package main

import "context"

func gate(ctx context.Context, args []string) error { return nil }
