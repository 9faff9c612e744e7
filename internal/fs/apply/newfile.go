package apply

import (
	"golang.org/x/sys/unix"

	"lockstep/internal/fs/tree"
	"lockstep/internal/fs/walk"
)

// newFile is a Staged that gets its attributes as Options say.
type newFile struct {
	*Staged
	have tree.Meta // what stands where it will be
}

// newStage makes an empty file to be put at place at. want tells its mode and
// size.
func (r *Root) newStage(at Place, have, want tree.Meta) (*newFile, error) {
	s, err := r.begin(at, at, Staging{Mode: r.createMode(have, want), Replaces: have.Exists(), Size: want.Size})
	if err != nil {
		return nil, err
	}
	return &newFile{s, have}, nil
}

// createMode is the mode to create a file with: the final one if possible,
// which saves a call, but nothing for others while the owner is not the final
// one.
func (r *Root) createMode(have, want tree.Meta) uint32 {
	switch {
	case !r.opts.Perms && have.Kind == tree.File:
		return uint32(have.Perm) & 0o777
	case r.opts.Perms && (r.opts.Owner && want.UID != r.who.uid || r.opts.Group && want.GID != r.who.groups[0]):
		return uint32(want.Perm)&0o700 | 0o200
	}
	return uint32(want.Perm) & 0o777
}

// finish sets the attributes and makes the file visible in one step. An
// *AttrError means that the file is in place all the same.
func (s *newFile) finish(want attrs) error {
	attrErr, err := s.dress(want)
	if err == nil && s.have.Exists() {
		err = s.at.keep()
	}
	if err == nil {
		err = s.publish(s.at, !s.have.Exists())
	}
	if err != nil {
		s.Discard()
		return err
	}
	s.release()
	if s.r.opts.Sync {
		if err := syncDir(s.at.fd); err != nil {
			return during("sync the directory", err)
		}
	}
	return attrErr
}

// dress sets the attributes, and writes the file to disk if that is wanted.
func (s *newFile) dress(want attrs) (attrErr, err error) {
	now, err := walk.StatAt(s.fd, "")
	if err != nil {
		return nil, during("stat", err)
	}
	if !s.r.opts.Perms && s.have.Kind == tree.File {
		want.meta.Perm, want.mode = s.have.Perm, true
	}
	attrErr = s.r.setAttrs(s.Object(), now, want)
	if s.r.opts.Sync {
		err = during("sync", unix.Fsync(s.fd))
	}
	return attrErr, err
}
