// Package watch turns what the kernel tells of a tree into Events.
package watch
