package doctor

// ParseShellAnswer is for the fuzz target.
var ParseShellAnswer = parseShellAnswer
