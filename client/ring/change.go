package ring

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/doozer-store/doozer/client"
)

// Dir is where the files of rings are.
const Dir = "/ring"

// Path is the path of the file of a ring. An error of CheckName says that the name
// cannot be a ring's.
func Path(name string) (string, error) {
	if err := CheckName(name); err != nil {
		return "", fmt.Errorf("ring %.140q: %w", name, err)
	}
	return Dir + "/" + name, nil
}

// Create writes the file of a ring that there is not yet, and returns its rev. If
// there is one it is client.ErrRevMismatch.
func Create(ctx context.Context, c *client.Client, name string, f *File, opts ...client.WriteOption) (int64, error) {
	path, err := Path(name)
	if err != nil {
		return 0, err
	}
	data, err := f.Encode()
	if err != nil {
		return 0, err
	}
	return c.Set(ctx, path, data, append(opts, client.IfMissing())...)
}

// Read reads the file of a ring, and its rev, which is the ring's epoch. It fails
// as client.Get does, or with ErrBadFile.
func Read(ctx context.Context, c *client.Client, name string, opts ...client.ReadOption) (*File, int64, error) {
	f, _, rev, err := read(ctx, c, name, opts...)
	return f, rev, err
}

func read(ctx context.Context, c *client.Client, name string, opts ...client.ReadOption) (*File, []byte, int64, error) {
	path, err := Path(name)
	if err != nil {
		return nil, nil, 0, err
	}
	at, err := c.Get(ctx, path, opts...)
	if err != nil {
		return nil, nil, 0, err
	}
	f, err := Decode(at.Value)
	if err != nil {
		return nil, nil, at.Rev, fmt.Errorf("%w (rev %d of %s)", err, at.Rev, path)
	}
	return f, at.Value, at.Rev, nil
}

// Edit changes the file of a ring by compare-and-set: it reads it, has fn change
// it, and writes it if nobody else did meanwhile, else it starts over. fn may thus
// be called more than once, each time with a file of its own; its error ends
// Edit. It returns the rev of the change or, if fn changed nothing, of the file.
// opts may have a client.Message; conditions are Edit's own affair.
//
// The commit point is the store's. With client.ErrUnknownOutcome the change may
// have been made or not: Read tells.
func Edit(ctx context.Context, c *client.Client, name string, fn func(*File) error, opts ...client.WriteOption) (int64, error) {
	for try := 1; ; try++ {
		f, before, rev, err := read(ctx, c, name)
		if err != nil {
			return 0, err
		}
		if err := fn(f); err != nil {
			return 0, err
		}
		after, err := f.Encode()
		if err != nil || bytes.Equal(before, after) {
			return rev, err
		}
		changed, err := c.Set(ctx, Dir+"/"+name, after, append(opts[:len(opts):len(opts)], client.IfRev(rev))...)
		if !errors.Is(err, client.ErrRevMismatch) || try == editTries {
			return changed, err
		}
	}
}
