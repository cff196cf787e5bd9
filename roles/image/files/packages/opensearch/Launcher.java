package org.opensearch.bootstrap;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.core.common.transport.BoundTransportAddress;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.node.NodeValidationException;
import org.opensearch.transport.Netty4Plugin;

/**
 * Starts an OpenSearch node from the published jars.
 *
 * <p>The stock launcher loads plugins through a jar that is not published, so the transport is handed to the node
 * directly. It lives in the server's own package because the bootstrap checks are visible only there.
 */
final class Launcher extends Node {
    private Launcher(Environment environment) {
        super(environment, List.of(Netty4Plugin.class), true);
    }

    @Override
    protected void validateNodeBeforeAcceptingRequests(
            BootstrapContext context, BoundTransportAddress address, List<BootstrapCheck> checks)
            throws NodeValidationException {
        // This check asks the security manager, which only the stock launcher installs.
        List<BootstrapCheck> answerable = new ArrayList<>(BootstrapChecks.checks());
        answerable.removeIf(check -> check instanceof BootstrapChecks.AllPermissionCheck);
        answerable.addAll(checks);
        BootstrapChecks.check(context, BootstrapChecks.enforceLimits(address, discovery(context)), answerable);
    }

    private static String discovery(BootstrapContext context) {
        return context.settings().get("discovery.type", "zen");
    }

    /** Arguments: settings as {@code -Ename=value}. Paths come as system properties of the start script. */
    public static void main(String[] arguments) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            if (!argument.startsWith("-E") || equals < 3) {
                System.err.println(argument + ": write settings as -Ename=value");
                System.exit(64);
            }
            settings.put(argument.substring(2, equals), argument.substring(equals + 1));
        }
        settings.putIfAbsent("path.home", System.getProperty("opensearch.path.home"));
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
                Settings.EMPTY, settings, Path.of(System.getProperty("opensearch.path.conf")), () -> System.getenv("HOSTNAME"));
        LogConfigurator.registerErrorListener();
        LogConfigurator.setNodeName(NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment);
        Bootstrap.initializeNatives(
                environment.tmpFile(),
                BootstrapSettings.MEMORY_LOCK_SETTING.get(environment.settings()),
                BootstrapSettings.SYSTEM_CALL_FILTER_SETTING.get(environment.settings()),
                false);

        Node node = new Launcher(environment);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(node, stopped), "shutdown"));
        try {
            node.start();
        } catch (NodeValidationException error) {
            System.err.println("the machine does not suit: " + error.getMessage());
            System.exit(78);
        }
        stopped.await();
    }

    private static void stop(Node node, CountDownLatch stopped) {
        try {
            node.close();
            node.awaitClose(60, TimeUnit.SECONDS);
        } catch (IOException | InterruptedException error) {
            System.err.println("the node did not close cleanly: " + error);
        } finally {
            stopped.countDown();
        }
    }
}
