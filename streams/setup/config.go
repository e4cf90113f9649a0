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

// Config says what store to open. All but what may be nil or empty is needed.
type Config struct {
	Assets     asset.Set
	Partitions int // of a first start
	Replicas   int // 0 is 3 in a cluster, else 1

	// Ledger keeps the manifest; nil is a key of the bucket belfry.
	Ledger manifest.Ledger

	// Disk is what the embedded server's folder showed; nil is another server.
	Disk Disk

	// OnlyNode says that the server is our own, and DiskIgnoresCase, which is read only
	// then, that its disk does not tell upper from lower case.
	OnlyNode        bool
	DiskIgnoresCase bool

	// Place says for people where the data is.
	Place string

	// ExistingData refuses a first start. RecreateMissing makes streams anew
	// that were lost. AcceptDamage names the damage that is known from now on.
	ExistingData    bool
	RecreateMissing bool
	AcceptDamage    string

	// NotReady is told why [Setup.Run] waits for JetStream; nil is nobody.
	NotReady func(why error)

	KeepEvery time.Duration // how often it is noted how far the streams are
	GrowEvery time.Duration // how often streams with fewer copies than wanted are tried again

	Metrics *metrics.Streams // nil counts nowhere
	Log     *slog.Logger
	Now     func() time.Time
}

// Setup opens a store, and keeps note of it while it is open. Run comes first.
type Setup struct {
	cfg    Config
	names  wire.Names
	js     jetstream.JetStream
	mender *audit.Mender
	book   *manifest.Book

	partitions  int      // as fixed at the first start
	replicas    int      // of the streams, or more
	ignoresCase bool     // the disk, as it was written down
	beside      []string // the other stores on the server, at a first start

	copies copies
	noted  time.Time  // when it was last written down how far the streams are; [Setup.Keep]'s own
	grown  time.Time  // when the copies were last looked at; the same
	told   sync.Mutex // guards what follows
	few    []string   // streams with fewer copies than wanted

	unlisted bool // some stream could not be looked at when the copies last were; as grown
}

// New returns what opens the store on js. m mends what is there.
func New(js jetstream.JetStream, m *audit.Mender, cfg Config) *Setup {
	ledger := cfg.Ledger
	if ledger == nil {
		ledger = manifest.InBucket(js, cfg.Assets.Names)
	}
	return &Setup{cfg: cfg, names: cfg.Assets.Names, js: js, mender: m, book: manifest.NewBook(ledger)}
}

// Book returns the manifest.
func (s *Setup) Book() *manifest.Book { return s.book }

// Partitions returns how many there are, as fixed at the first start.
func (s *Setup) Partitions() int { return s.partitions }

// Replicas returns how many the streams have, or more.
func (s *Setup) Replicas() int { return s.replicas }

// IgnoresCase reports whether the disk of the server does not tell upper from lower case,
// as it was written down.
func (s *Setup) IgnoresCase() bool { return s.ignoresCase }

// manifestPlace says for people where the manifest is.
func (s *Setup) manifestPlace() string {
	if s.cfg.Ledger != nil {
		return manifest.FileName + " in the data folder"
	}
	return "the key " + wire.ManifestKey + " of the bucket " + s.names.BelfryBucket()
}
