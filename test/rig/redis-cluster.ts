import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { startRedis, type RedisServer } from './redis-server.js';

/** A real Redis Cluster of one test file: three masters with a third of the slots each, and a replica each. */
export interface RedisCluster {
  /** Every node, for ioredis: masters first. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** The masters at the start, in the order of their slots, and the replica of each. */
  readonly shards: readonly { readonly master: RedisServer; readonly replica: RedisServer }[];
  /** SIGKILL for the master of a shard. Answers once its replica has taken over and all nodes left say so. */
  killMaster(shard: number): Promise<void>;
  /** SIGSTOP instead: connections to it stay open. It can be thawed. */
  silenceMaster(shard: number): Promise<void>;
  stop(): Promise<void>;
}

const shardCount = 3;
const slotCount = 16_384;
const nodeTimeoutMs = 1000;
const patienceMs = 30_000;

export async function startRedisCluster(): Promise<RedisCluster> {
  const timing = ['--cluster-node-timeout', `${nodeTimeoutMs}`];
  // A replica that has just been made may take over too, and does not wait for others to sync with.
  const replicas = ['--cluster-replica-validity-factor', '0', '--repl-diskless-sync-delay', '0'];
  const args = ['--cluster-announce-ip', '127.0.0.1', ...timing, ...replicas];
  const started = await Promise.allSettled(
    Array.from({ length: 2 * shardCount }, () => startRedis({ args, isClusterNode: true })),
  );
  const servers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  const admins = servers.map(({ url }) => {
    const admin = new Redis(url, { retryStrategy: () => 50, disconnectTimeout: 50 });
    return admin.on('error', () => {});
  });
  const living = new Set(servers.keys());

  async function ask(node: number, ...command: string[]): Promise<string> {
    const [name = '', ...rest] = command;
    return String(await admins[node]?.call(name, ...rest));
  }

  /** Until every node that lives says it. */
  async function untilAll(what: string, isSo: (node: number) => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + patienceMs;
    for (const node of living) {
      while (!(await isSo(node))) {
        if (performance.now() > deadline) throw new Error(`The cluster is not ready: ${what}`);
        await sleep(20);
      }
    }
  }
  const untilServing = (): Promise<void> =>
    untilAll('all slots are served', async (node) =>
      (await ask(node, 'CLUSTER', 'INFO')).includes('cluster_state:ok'),
    );

  async function untilSucceeded(shard: number): Promise<void> {
    living.delete(shard);
    admins[shard]?.disconnect();
    const heir = servers[shard + shardCount];
    await untilAll('the replica has taken over', async (node) =>
      mastersIn(await ask(node, 'CLUSTER', 'NODES')).includes(`127.0.0.1:${heir?.port}`),
    );
    await untilServing();
  }

  async function form(): Promise<void> {
    const failed = started.find((one) => one.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    const ids = await Promise.all(servers.map((_, node) => ask(node, 'CLUSTER', 'MYID')));
    for (const node of servers.keys()) {
      // Without an epoch of its own each, masters can quarrel about their slots.
      await ask(node, 'CLUSTER', 'SET-CONFIG-EPOCH', `${node + 1}`);
      if (node < shardCount) {
        const [first, next] = [node, node + 1].map((shard) => Math.ceil((shard * slotCount) / shardCount));
        await ask(node, 'CLUSTER', 'ADDSLOTSRANGE', `${first}`, `${(next ?? 0) - 1}`);
      }
    }
    for (const [node, { port }] of servers.entries()) {
      const [, busPort = ''] = /@(\d+)/.exec(await ask(node, 'CLUSTER', 'NODES')) ?? [];
      await ask(0, 'CLUSTER', 'MEET', '127.0.0.1', `${port}`, busPort);
    }
    await untilAll('every node knows every other', async (node) => {
      const known = await ask(node, 'CLUSTER', 'NODES');
      return ids.every((id) => known.includes(id)) && !known.includes('handshake');
    });
    for (let shard = 0; shard < shardCount; shard += 1) {
      await ask(shard + shardCount, 'CLUSTER', 'REPLICATE', ids[shard] ?? '');
    }
    await untilAll('every replica is in step', async (node) => {
      const said = await ask(node, 'INFO', 'replication');
      return said.includes(node < shardCount ? 'state=online' : 'master_link_status:up');
    });
    await untilServing();
  }

  async function stop(): Promise<void> {
    for (const admin of admins) admin.disconnect();
    await Promise.all(servers.map((server) => server.stop()));
  }

  try {
    await form();
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    shards: servers.slice(0, shardCount).flatMap((master, shard) => {
      const replica = servers[shard + shardCount];
      return replica === undefined ? [] : [{ master, replica }];
    }),
    async killMaster(shard) {
      await servers[shard]?.kill();
      await untilSucceeded(shard);
    },
    async silenceMaster(shard) {
      servers[shard]?.freeze();
      await untilSucceeded(shard);
    },
    stop,
  };
}

/** Addresses of the nodes that serve slots. */
function mastersIn(nodes: string): string[] {
  return nodes.split('\n').flatMap((line) => {
    const [, address = '', flags = ''] = line.split(' ');
    return flags.includes('master') && !flags.includes('fail') ? [address.replace(/@.*/, '')] : [];
  });
}
