package rsync

// GarbagePercent is garbagePercent.
var GarbagePercent = garbagePercent
