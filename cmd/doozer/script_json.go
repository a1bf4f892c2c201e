package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/doozer-store/doozer/client"
)

// txnJSON is a transaction as txn --json reads it.
type txnJSON struct {
	If      []condJSON `json:"if"`
	Do      []opJSON   `json:"do"`
	Message string     `json:"message"`
}

// condJSON has exactly one of Missing (true) and Rev.
type condJSON struct {
	Path    string `json:"path"`
	Missing bool   `json:"missing"`
	Rev     *int64 `json:"rev"`
}

// opJSON has exactly one of Set and Del; with Set at most one of Value and
// Base64 (neither: an empty value), with Del none.
type opJSON struct {
	Set    *string `json:"set"`
	Del    *string `json:"del"`
	Value  *string `json:"value"`
	Base64 *string `json:"value_base64"`
}

// parseJSON reads one txnJSON object. Unknown members are refused: a misspelt
// condition would otherwise be no condition.
func parseJSON(input []byte) (client.Txn, error) {
	var t client.Txn
	var in txnJSON
	if !utf8.Valid(input) {
		return t, errors.New("the input is not UTF-8; use value_base64 for binary values")
	}
	dec := json.NewDecoder(bytes.NewReader(input))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		if errors.Is(err, io.EOF) {
			return t, errors.New("the input is empty")
		}
		return t, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return t, errors.New("there is more than one object")
	}
	for i, c := range in.If {
		switch {
		case c.Missing && c.Rev == nil:
			t.If = append(t.If, client.Missing(c.Path))
		case !c.Missing && c.Rev != nil && *c.Rev >= 1:
			t.If = append(t.If, client.Unchanged(c.Path, *c.Rev))
		default:
			return t, fmt.Errorf(`if[%d]: it takes either "missing": true or "rev": R, from 1`, i)
		}
	}
	for i, o := range in.Do {
		op, err := o.op()
		if err != nil {
			return t, fmt.Errorf("do[%d]: %w", i, err)
		}
		t.Do = append(t.Do, op)
	}
	t.Message = in.Message
	return t, nil
}

func (o opJSON) op() (client.Op, error) {
	switch {
	case (o.Set == nil) == (o.Del == nil):
		return client.Op{}, errors.New(`it takes either "set": PATH or "del": PATH`)
	case o.Del != nil && (o.Value != nil || o.Base64 != nil):
		return client.Op{}, errors.New("del takes no value")
	case o.Value != nil && o.Base64 != nil:
		return client.Op{}, errors.New("it takes either value or value_base64")
	case o.Del != nil:
		return client.DelOp(*o.Del), nil
	case o.Base64 != nil:
		value, err := base64.StdEncoding.DecodeString(*o.Base64)
		if err != nil {
			return client.Op{}, fmt.Errorf("value_base64 of %s: %w", *o.Set, err)
		}
		return client.SetOp(*o.Set, value), nil
	case o.Value != nil:
		return client.SetOp(*o.Set, []byte(*o.Value)), nil
	}
	return client.SetOp(*o.Set, []byte{}), nil
}
