package client

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// The results of the two most frequent verbs are taken apart by hand, as the
// messages around them are: the generated code makes four allocations of a file,
// here its value is the only one.

// result is what a response is decoded into.
type result interface{ decode(b []byte) error }

// messageResult is every other result.
type messageResult struct{ proto.Message }

func (r messageResult) decode(b []byte) error { return proto.Unmarshal(b, r.Message) }

// setResult is a SetResponse.
type setResult struct{ rev int64 }

const (
	fieldSetRev  = protowire.Number(2)
	fieldGetFile = protowire.Number(2)
)

func (r *setResult) decode(b []byte) error {
	return eachField(b, func(num protowire.Number, typ protowire.Type, varint uint64, _ []byte) error {
		if num == fieldSetRev && typ == protowire.VarintType {
			r.rev = int64(varint)
		}
		return nil
	})
}

// getResult is a GetResponse. The strings that it finds in file already cost
// nothing: the path is the one that was asked for, authors and messages repeat.
type getResult struct{ file File }

// reset makes r ready for the response to a get of path.
func (r *getResult) reset(path string) {
	r.file = File{Path: path, Author: r.file.Author, Message: r.file.Message}
}

func (r *getResult) decode(b []byte) error {
	found := false
	err := eachField(b, func(num protowire.Number, typ protowire.Type, _ uint64, body []byte) error {
		if num != fieldGetFile || typ != protowire.BytesType {
			return nil
		}
		found = true
		return r.decodeFile(body)
	})
	if err == nil && !found {
		r.file = File{}
	}
	return err
}

var errUTF8 = errors.New("text that is not UTF-8")

// Fields of File.
const (
	fileFieldPath    = protowire.Number(1)
	fileFieldValue   = protowire.Number(2)
	fileFieldRev     = protowire.Number(3)
	fileFieldLen     = protowire.Number(5)
	fileFieldTime    = protowire.Number(6)
	fileFieldAuthor  = protowire.Number(7)
	fileFieldMessage = protowire.Number(8)
)

func (r *getResult) decodeFile(b []byte) error {
	before := r.file
	r.file = File{}
	return eachField(b, func(num protowire.Number, typ protowire.Type, varint uint64, body []byte) (err error) {
		f := &r.file
		switch {
		case typ == protowire.VarintType && num == fileFieldRev:
			f.Rev = int64(varint)
		case typ == protowire.VarintType && num == fileFieldLen:
			f.Len = int64(varint)
		case typ == protowire.VarintType && num == fileFieldTime:
			f.Time = timeOf(int64(varint))
		case typ != protowire.BytesType:
		case num == fileFieldPath:
			f.Path, err = text(before.Path, body)
		case num == fileFieldValue:
			f.Value = bytes.Clone(body)
		case num == fileFieldAuthor:
			f.Author, err = text(before.Author, body)
		case num == fileFieldMessage:
			f.Message, err = text(before.Message, body)
		}
		return err
	})
}

// text returns b as a string, before if it is the same.
func text(before string, b []byte) (string, error) {
	switch {
	case string(b) == before:
		return before, nil
	case !utf8.Valid(b):
		return "", errUTF8
	}
	return string(b), nil
}
