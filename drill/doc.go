// Package drill does harm to real clusters and judges whether they kept their
// word.
package drill
