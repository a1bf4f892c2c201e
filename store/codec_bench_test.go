package store

import "testing"

// benchCommands are what the log mostly holds.
func benchCommands() map[string]*Command {
	set := &Command{Kind: Write, Client: 7, Seq: 1000, Ack: 900, Author: "10.0.0.1:1234", Ops: []Op{{Path: "/bench/0042/file-0042000", Value: make([]byte, 256)}}}
	txn := &Command{Kind: Write, Client: 7, Seq: 1000, Ack: 900, Author: "10.0.0.1:1234"}
	for range 10 {
		txn.Ops = append(txn.Ops, set.Ops[0])
		txn.Conds = append(txn.Conds, Condition{Kind: Unchanged, Path: set.Ops[0].Path, Rev: 1 << 40})
	}
	return map[string]*Command{"set": set, "txn of 10": txn}
}

func BenchmarkCommandEncode(b *testing.B) {
	for name, c := range benchCommands() {
		b.Run(name, func(b *testing.B) {
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = c.Append(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

// BenchmarkCommandDecode decodes as apply does, into memory that is there.
func BenchmarkCommandDecode(b *testing.B) {
	for name, c := range benchCommands() {
		b.Run(name, func(b *testing.B) {
			buf := c.Append(nil)
			b.SetBytes(int64(len(buf)))
			b.ReportAllocs()
			var into Command
			for b.Loop() {
				if err := into.decode(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
