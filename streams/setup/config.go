package setup

import (
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"belfry/internal/metrics"
	"belfry/streams/asset"
	"belfry/streams/audit"
	"belfry/streams/manifest"
	"belfry/streams/wire"
)

// Config says what store to open. Every field is required unless it may be nil or empty.
type Config struct {
	Assets     asset.Set
	Partitions int // for a first start
	Replicas   int // 0 is 3 in a cluster and 1 otherwise

	// Ledger keeps the manifest; nil is a key of the bucket belfry.
	Ledger manifest.Ledger

	// Disk is what the embedded server's folder showed; nil means an external server.
	Disk Disk

	// OnlyNode says that the server is our own. DiskIgnoresCase, which is read only then,
	// says that its disk does not distinguish upper and lower case.
	OnlyNode        bool
	DiskIgnoresCase bool

	// Place says where the data is, for humans.
	Place string

	// ExistingData refuses a first start. RecreateMissing recreates streams that were
	// lost. AcceptDamage accepts the damage known now.
	ExistingData    bool
	RecreateMissing bool
	AcceptDamage    string

	// NotReady is called with the reason why [Setup.Run] waits for JetStream; nil calls
	// nobody.
	NotReady func(why error)

	KeepEvery time.Duration // how often the positions of the streams are recorded
	GrowEvery time.Duration // how often more copies are tried for streams with too few

	Metrics *metrics.Streams // nil counts nowhere
	Log     *slog.Logger
	Now     func() time.Time
}

// Setup opens a store, and keeps a record of it while it is open. Run comes first.
type Setup struct {
	cfg    Config
	names  wire.Names
	js     jetstream.JetStream
	mender *audit.Mender
	book   *manifest.Book

	partitions  int      // fixed at the first start
	replicas    int      // of the streams; some may have more
	ignoresCase bool     // whether the disk does, as recorded in the store
	beside      []string // the other stores on the server, at a first start

	copies copies
	noted  time.Time  // when the positions were last recorded; only [Setup.Keep] uses it
	grown  time.Time  // when the copies were last checked; only Keep uses it
	told   sync.Mutex // guards what follows
	few    []string   // streams with fewer copies than wanted

	unlisted bool // some stream could not be checked the last time; only Keep uses it
}

// New returns a setup that opens the store on js. m mends existing streams.
func New(js jetstream.JetStream, m *audit.Mender, cfg Config) *Setup {
	ledger := cfg.Ledger
	if ledger == nil {
		ledger = manifest.InBucket(js, cfg.Assets.Names)
	}
	return &Setup{cfg: cfg, names: cfg.Assets.Names, js: js, mender: m, book: manifest.NewBook(ledger)}
}

// Book returns the manifest.
func (s *Setup) Book() *manifest.Book { return s.book }

// Partitions returns the number of partitions, fixed at the first start.
func (s *Setup) Partitions() int { return s.partitions }

// Replicas returns how many copies the streams have; some may have more.
func (s *Setup) Replicas() int { return s.replicas }

// IgnoresCase reports whether the server's disk does not distinguish upper and lower
// case, as recorded in the store.
func (s *Setup) IgnoresCase() bool { return s.ignoresCase }

// manifestPlace says where the manifest is, for humans.
func (s *Setup) manifestPlace() string {
	if s.cfg.Ledger != nil {
		return manifest.FileName + " in the data folder"
	}
	return "the key " + wire.ManifestKey + " of the bucket " + s.names.BelfryBucket()
}
