package broker

// properties are the configuration of a node: its number, the controllers, the listeners, those
// that clients are told, their protocols, the folder of its data, how many replicas the topics of
// Kafka's own have, and how many of them must be in sync.
const properties = `process.roles=broker,controller
node.id=%d
controller.quorum.voters=%s
listeners=%s
advertised.listeners=%s
controller.listener.names=CONTROLLER
listener.security.protocol.map=%s
inter.broker.listener.name=PLAINTEXT
log.dirs=%s
num.partitions=4
offsets.topic.replication.factor=%[7]d
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=%[7]d
transaction.state.log.min.isr=%[8]d
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=%[7]d
share.coordinator.state.topic.min.isr=%[8]d
default.replication.factor=%[7]d
min.insync.replicas=%[8]d
group.initial.rebalance.delay.ms=0
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.threads=1
auto.create.topics.enable=false
transaction.partition.verification.enable=true
log.initial.task.delay.ms=500
log.retention.check.interval.ms=500
`
