package checksum

// SumWords is Sum1 on processors without wide vectors.
var SumWords = sumWords
