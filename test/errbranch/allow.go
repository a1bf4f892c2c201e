package main

// allowed are the branches that no test executes, each with the reason.
var allowed = map[string]string{
	"consensus/wal/append.go Log.publish l.index.put: err != nil":                                             "no call can fail so: admit refuses before anything is written what the index would refuse",
	"consensus/wal/compact.go Log.compact x.compact: err != nil":                                              "no call can fail so: the index was checked above",
	"consensus/checkpoint/file.go initialize tx.CreateBucketIfNotExists: err != nil":                          "bbolt refuses only names that are records, and a root holds none",
	"consensus/checkpoint/file.go lockFile syscall.Flock: err != syscall.EWOULDBLOCK && err != syscall.EINTR": "takes a file system without locks",
	"consensus/checkpoint/meta.go Meta.encode MarshalAppend: err != nil":                                      "a panic that says so: numbers always encode",
}
