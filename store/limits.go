package store

// Limits that are part of the format: every node must agree on them, for they
// decide what Apply answers. Changing one needs a new command version.
const (
	// MaxName is the longest name in a path, in bytes. A longer one is BadPath.
	MaxName = 255
	// MaxPath is the longest path, in bytes. A longer one is BadPath.
	MaxPath = 4096
	// MaxConds is how many conditions a write may have; more is BadRequest.
	MaxConds = 128
	// MaxOps is how many operations a write may have; more is BadRequest.
	MaxOps = 128
	// MaxResults is how many results of writes are remembered in all. When
	// there are more, the client that was idle longest is forgotten.
	MaxResults = 1_000_000
)

// Limits of a glob. They bound what matching a path costs: a step for each
// byte of the path and each 64 bytes of the pattern after its first wildcard.
const (
	// MaxGlob is the longest pattern, in bytes. A longer one is BadGlob.
	MaxGlob = 4096
	// MaxGlobTail is how many bytes a pattern may have from its first wildcard
	// on. More is BadGlob.
	MaxGlobTail = 1024
)

// Limits that Validate checks, and Apply does not.
const (
	// DefaultMaxValue is the largest value, in bytes, where Options names none.
	DefaultMaxValue = 1 << 20
	// DefaultMaxCommand is the largest encoded command, in bytes, where Options
	// names none.
	DefaultMaxCommand = 8 << 20
	// MaxAuthor is the longest author, in bytes. A longer one is TooLarge.
	MaxAuthor = 1024
	// MaxMessage is the longest message, in bytes. A longer one is TooLarge.
	MaxMessage = 4096
)

// Settings in force until a Configure command says otherwise.
const (
	DefaultHistory      = 100_000   // revs
	DefaultHistoryBytes = 256 << 20 // bytes
	DefaultClientTTL    = 600 * 1e9 // nanoseconds of log time: 10 minutes
	DefaultMaxClients   = 10_000    // clients
	DefaultClientWindow = 4096      // sequence numbers of one client
)

// maxSlack is how many revs a window may have beyond Config.History, if that is
// large.
const maxSlack = 64

// Limits of Config.Volatile; a Configure command that asks for more is
// BadRequest. Every write is matched with all of the globs.
const (
	maxVolatile     = 16   // globs
	maxVolatileText = 4096 // bytes of all together
)

// Highest settings that a Configure command may ask for; above is BadRequest.
const (
	maxHistory      = 1 << 30
	maxHistoryBytes = 1 << 40
	maxClientTTL    = 1 << 60
	maxMaxClients   = 1 << 20
	maxClientWindow = 1 << 16
	maxEpoch        = 1<<31 - 1
)

// epochClients is how many client ids an epoch has: those from its number times
// this on. At ten thousand registrations a second they last for five days; the
// ids that follow are the next epoch's, and new all the same unless a backup
// from before they were given out is restored.
const epochClients = 1 << 32

const (
	// eventOverhead is what an event costs in the window beside its path,
	// value, author and message: the structures that hold it.
	eventOverhead = 128
	// maxInterned is how many pairs of author and message events share.
	// When the table is full it starts over; only memory depends on it.
	maxInterned = 1024
	// maxInternedLen is the longest string that is worth a look in the table.
	maxInternedLen = 128
	// minCompact is how many versions that were made and dropped since the
	// last Capture are kept before they are sorted out.
	minCompact = 1 << 14
	// maxWaste is how many bytes of events such versions may hold on to before
	// that; more only while there are so many changes that sorting them would
	// cost more than it frees: a change for each wastePerChange bytes.
	maxWaste       = 32 << 20
	wastePerChange = 128
)
