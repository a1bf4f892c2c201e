// Package watches lets fake nodes of tests serve many watches on one stream.
package watches
