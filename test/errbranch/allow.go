package main

// allowed are the branches that no test executes, each with the reason.
var allowed = map[string]string{
	"consensus/wal/append.go Log.publish l.index.put: err != nil":                                             "no call can fail so: admit refuses before anything is written what the index would refuse",
	"consensus/wal/compact.go Log.compact x.compact: err != nil":                                              "no call can fail so: the index was checked above",
	"consensus/checkpoint/file.go initialize tx.CreateBucketIfNotExists: err != nil":                          "bbolt refuses only names that are records, and a root holds none",
	"consensus/checkpoint/file.go lockFile syscall.Flock: err != syscall.EWOULDBLOCK && err != syscall.EINTR": "takes a file system without locks",
	"consensus/checkpoint/commit.go inOne p.do: err != nil":                                                   "no call can fail so: op.fault refuses what bbolt would refuse",
	"consensus/checkpoint/commit.go inOne p.putMeta: err != nil":                                              "no call can fail so: the bucket is there and the key is right",
	"consensus/checkpoint/part.go part.do p.b.Delete: err != nil":                                             "bbolt refuses only to delete a bucket, and the records hold none",
	"consensus/checkpoint/meta.go Meta.encodeAs MarshalAppend: err != nil":                                    "a panic that says so: numbers always encode",
}
